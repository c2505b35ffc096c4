"""What `convscope inspect` and `compare` show: the record, its terminal and page forms, the drawings."""
