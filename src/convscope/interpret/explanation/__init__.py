"""What `convscope explain` shows: one number worked out, and the way down to the pixels."""
