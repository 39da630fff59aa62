SELECT allocation, used FROM campaign WHERE id = $1 FOR UPDATE
