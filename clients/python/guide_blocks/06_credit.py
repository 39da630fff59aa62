r = requests.post(
f'{URL}/distributor/v2/investments/{investment_id}/credits/',
headers={**headers, 'X-Idempotency-Key': make_key()}
)
assert r.status_code < 300, r.content
print(f'Credit: {r.json()['id']}')
