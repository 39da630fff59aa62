# Get all products listed on the distribution platform
r = requests.get(
f'{URL}/distributor/v2/products/',
headers={**headers}
)
assert r.status_code < 300, r.content
product_id = r.json()['results'][0]['id']
r = requests.get(
f'{URL}/distributor/v2/products/{product_id}/',
headers={**headers}
)
assert r.status_code < 300, r.content
print(f'Product: {r.json()['id']}')
# Get all campaigns for that product
r = requests.get(
f'{URL}/distributor/v2/products/{product_id}/campaigns/',
headers={**headers}
)
assert r.status_code < 300, r.content
campaign_id = r.json()['results'][0]['id']
r = requests.get(
f'{URL}/distributor/v2/products/{product_id}/campaigns/{campaign_id}/',
headers={**headers}
)
assert r.status_code < 300, r.content
print(f'Campaign: {r.json()['id']}')
