r = requests.patch(
f'{URL}/distributor/v2/investments/{investment_id}/',
json={
'paid_at': '2025-03-12T07:14:13.630308+00:00'
},
headers={**headers, 'X-Idempotency-Key': make_key()}
)
assert r.status_code < 300, r.content
print(f'ID {investment_id} [{r.json()['status']}].')
