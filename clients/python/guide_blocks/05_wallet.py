r = requests.patch(
f'{URL}/distributor/v2/investments/{investment_id}/',
json={
'wallet': wallet_id
},
headers={**headers, 'X-Idempotency-Key': make_key()}
)
assert r.status_code < 300, r.content
print(f'ID {investment_id} [{r.json()['status']}].')
