// A fresh anvil, and what is said to it. Blocks are made at each transaction; nothing depends on time or chance.
'use strict';

const { spawn } = require('node:child_process');
const readline = require('node:readline');
const { ContractFactory, Interface } = require('ethers');

const CHAIN_ID = 73_574;
const GENESIS_SECONDS = 1_800_000_000;
/** What a transaction may use at most (EIP-7825). */
const TRANSACTION_GAS_MAX = '0x1000000';
const HARD_FORK = 'osaka';
const FLAGS = ['--host', '127.0.0.1', '--port', '0', '--chain-id', `${CHAIN_ID}`, '--timestamp', `${GENESIS_SECONDS}`, '--hardfork', HARD_FORK];

function program() {
  const arch = { x64: 'amd64', arm64: 'arm64' }[process.arch];
  return require.resolve(`@foundry-rs/anvil-${process.platform}-${arch}/bin/anvil`);
}

class Node {
  /** Starts a node and asserts that it is the one that answers. */
  static async start() {
    const child = spawn(program(), FLAGS, { stdio: ['ignore', 'pipe', 'inherit'] });
    const node = new Node(child, await addressOf(child));
    if (Number(await node.ask('eth_chainId')) !== CHAIN_ID) throw new Error('another node answers on this port');
    node.accounts = await node.ask('eth_accounts');
    node.description = `${await node.ask('web3_clientVersion')}, hard fork ${(await node.ask('anvil_nodeInfo')).hardFork}`;
    return node;
  }

  constructor(child, url) {
    Object.assign(this, { child, url });
  }

  stop() {
    this.child.kill();
  }

  async ask(method, params = []) {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const answer = await fetch(this.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    const { result, error } = await answer.json();
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  /** Runs a transaction, which must succeed; answers its receipt. */
  async run(transaction) {
    const hash = await this.ask('eth_sendTransaction', [{ from: this.accounts[0], gas: TRANSACTION_GAS_MAX, ...transaction }]);
    let receipt = null;
    // The answer to the send does not wait for the block.
    while (receipt === null) receipt = await this.ask('eth_getTransactionReceipt', [hash]);
    if (receipt.status !== '0x1') throw new Error(`a transaction was reverted: ${hash}`);
    return receipt;
  }

  /** Deploys an artifact; answers the contract. */
  async deploy(artifact, ...args) {
    const { data } = await new ContractFactory(artifact.abi, artifact.bytecode).getDeployTransaction(...args);
    return new Contract(this, (await this.run({ data })).contractAddress, artifact.abi);
  }
}

/** A contract at an address. */
class Contract {
  constructor(node, address, abi) {
    Object.assign(this, { node, address, interface: new Interface(abi) });
  }

  /** Answers the gas that the call's transaction was charged. */
  async gas(name, args, from = this.node.accounts[0]) {
    const data = this.interface.encodeFunctionData(name, args);
    return Number((await this.node.run({ from, to: this.address, data })).gasUsed);
  }

  async read(name, args = []) {
    const data = this.interface.encodeFunctionData(name, args);
    const answer = await this.node.ask('eth_call', [{ to: this.address, data }, 'latest']);
    return this.interface.decodeFunctionResult(name, answer)[0];
  }
}

async function addressOf(child) {
  for await (const line of readline.createInterface({ input: child.stdout })) {
    if (line.startsWith('Listening on ')) {
      child.stdout.resume();
      return `http://${line.slice('Listening on '.length).trim()}`;
    }
  }
  throw new Error('anvil ended before it listened');
}

module.exports = { Node, Contract, GENESIS_SECONDS };
