# Create campaign
r = requests.post(
f'{URL}/issuer/v2/products/{product_id}/campaigns/',
json={
'distribution_platform_id': distribution_platform_id,
'allocation': 10000,
'price_per_token': {
'amount': '100',
'decimals': 2,
'currency': 'EUR'
},
'min_number_of_tokens': 1,
'max_number_of_tokens': 100,
'name': 'Test',
'legal_persons_allowed': True,
'natural_persons_allowed': True,
'country': 'DEU',
'rule_type': 'public_offering',
'is_campaign_active': True
},
headers={**headers, 'X-Idempotency-Key': make_key()}
)
assert r.status_code < 300, r.content
print(f'Campaign: {r.json()['id']}')
