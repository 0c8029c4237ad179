# Parses answers, one a line in hexadecimal, by dnspython: strictly, to the last byte.
import sys

import dns.flags
import dns.message

count = 0
for line in open(sys.argv[1]):
    message = dns.message.from_wire(bytes.fromhex(line))
    if not message.flags & dns.flags.QR or message.flags & dns.flags.RA:
        sys.exit(f"not an answer as it should be: {line}{message}")
    count += 1
print(count, "answers")
