UPDATE campaign SET used = used + $2 WHERE id = $1
