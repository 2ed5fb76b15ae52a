#!/bin/sh
# Write the ACL file from its template and the passwords, then become redis-server.
# `@name@` in the template stands for the SHA-256 of the file `name-password` of the Secret, which is what Redis stores:
# no password is in an argument, in the environment or on a disk.
set -eu
umask 077
template=/etc/redis/users.acl
secrets=/run/secrets/redis
acl=/run/users.acl
cp "$template" "$acl"
for file in "$secrets"/*-password; do
  name=$(basename "$file" -password)
  hash=$(sha256sum <"$file" | cut -d ' ' -f 1)
  sed -i "s/@$name@/#$hash/" "$acl"
done
if grep -q '@[a-z-]*@' "$acl"; then
  echo "users.acl names a user without a password file in $secrets: $(grep -o '@[a-z-]*@' "$acl" | tr '\n' ' ')" >&2
  exit 1
fi
exec redis-server /etc/redis/redis.conf
