"""The .proto files and what protoc makes of them (`make proto`). Nothing here is written by hand
but those.
"""
