// T-REX 4.1.6 with ONCHAINID, as their own factories set it up, from the compiled code of their packages.
'use strict';

const { AbiCoder, ZeroAddress, getBytes, id, keccak256 } = require('ethers');
const { Contract } = require('./node');

const TREX = '@tokenysolutions/t-rex/artifacts/contracts';
const ONCHAINID = '@onchain-id/solidity/artifacts/contracts';
const CLAIM_TOPIC = BigInt(id('CLAIM_TOPIC'));
const CLAIM_DATA = '0x42';
const [CLAIM_KEY, ECDSA] = [3, 1];
const COUNTRY = 276;

const trex = (path) => require(`${TREX}/${path}/${path.split('/').pop().replace('.sol', '')}.json`);
const onchainId = (path) => require(`${ONCHAINID}/${path}/${path.split('/').pop().replace('.sol', '')}.json`);
const abi = AbiCoder.defaultAbiCoder();
const keyOf = (address) => keccak256(abi.encode(['address'], [address]));

/** A token whose holders need these many claims (0 or 1), everything around it, and who acts on it. */
async function deployTrex(node, claims) {
  const [owner, claimSigner] = node.accounts;
  const identity = await node.deploy(onchainId('Identity.sol'), owner, true);
  const identityAuthority = await node.deploy(onchainId('proxy/ImplementationAuthority.sol'), identity.address);
  const idFactory = await node.deploy(onchainId('factory/IdFactory.sol'), identityAuthority.address);
  const authority = await node.deploy(trex('proxy/authority/TREXImplementationAuthority.sol'), true, ZeroAddress, ZeroAddress);
  const implementations = [
    'token/Token.sol',
    'registry/implementation/ClaimTopicsRegistry.sol',
    'registry/implementation/IdentityRegistry.sol',
    'registry/implementation/IdentityRegistryStorage.sol',
    'registry/implementation/TrustedIssuersRegistry.sol',
    'compliance/modular/ModularCompliance.sol',
  ];
  const addresses = [];
  for (const path of implementations) addresses.push((await node.deploy(trex(path))).address);
  await authority.gas('addAndUseTREXVersion', [[4, 1, 6], addresses]);
  const factory = await node.deploy(trex('factory/TREXFactory.sol'), authority.address, idFactory.address);
  await idFactory.gas('addTokenFactory', [factory.address]);
  const issuer = await node.deploy(onchainId('ClaimIssuer.sol'), owner);
  await issuer.gas('addKey', [keyOf(claimSigner), CLAIM_KEY, ECDSA]);
  const details = [owner, 'Solar 2030', 'SOL30', 0, ZeroAddress, ZeroAddress, [owner], [owner], [], []];
  const claimDetails = claims === 0 ? [[], [], []] : [[CLAIM_TOPIC], [issuer.address], [[CLAIM_TOPIC]]];
  await factory.gas('deployTREXSuite', ['suite', details, claimDetails]);
  const tokenAddress = await factory.read('getToken', ['suite']);
  const token = new Contract(node, tokenAddress, trex('token/Token.sol').abi);
  await token.gas('unpause', []);
  const registryAbi = trex('registry/implementation/IdentityRegistry.sol').abi;
  const registry = new Contract(node, await token.read('identityRegistry'), registryAbi);
  return { node, owner, claimSigner, idFactory, issuer, token, registry };
}

/** Deploys the identity of a holder, which the owner manages; answers it and the gas. */
async function createIdentity(suite, holder) {
  const gas = await suite.idFactory.gas('createIdentityWithManagementKeys', [holder, `salt ${holder}`, [keyOf(suite.owner)]]);
  const address = await suite.idFactory.read('getIdentity', [holder]);
  return { gas, identity: new Contract(suite.node, address, onchainId('Identity.sol').abi) };
}

/** Puts the claim that the token needs into an identity; answers the gas. */
async function addClaim(suite, identity) {
  const digest = keccak256(abi.encode(['address', 'uint256', 'bytes'], [identity.address, CLAIM_TOPIC, CLAIM_DATA]));
  const signature = await suite.node.ask('eth_sign', [suite.claimSigner, digest]);
  if (getBytes(signature).length !== 65) throw new Error('not a signature');
  return identity.gas('addClaim', [CLAIM_TOPIC, ECDSA, suite.issuer.address, signature, CLAIM_DATA, '']);
}

module.exports = { deployTrex, createIdentity, addClaim, COUNTRY };
