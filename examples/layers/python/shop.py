"""A shop's stock, which tells of itself at /metrics by prometheus_client, with the names of its default metrics.

    python shop.py HOST:PORT
"""

import sys
import time

from prometheus_client import Counter, Histogram, start_http_server

sold = Counter("shop_orders", "Orders that were sold.")
duration = Histogram("http_request_duration_seconds", "How long requests took.", ["method", "route", "status_code"])

host, port = sys.argv[1].split(":")
start_http_server(int(port), addr=host)
print("listening", flush=True)
while True:
    with duration.labels("GET", "/orders", "200").time():
        sold.inc()
    time.sleep(0.1)
