#!/usr/bin/env python3
"""A notification plugin of the Lockkeeper gateway, in Python: POSTs a line of text for each group of alerts to a URL.

Channel is the part to change for a channel of your own; lockkeeper_plugin.py stays as it is.
"""

import re
import urllib.error
import urllib.request

from lockkeeper_plugin import Permanent, serve_notification


class Channel:
    """Where notifications go."""

    VERSION = "1.0.0"
    KEYS = {"url": None, "token": ""}  # what `config:` may set, with the defaults; None: has to be set

    def __init__(self, config):
        self.url, self.token = config["url"], config["token"]
        if not re.fullmatch(r"https?://[!-~]+", self.url):
            raise Permanent("url: want http://… or https://…")  # without the value: it may be a secret
        if not re.fullmatch(r"[!-~]*", self.token):
            raise Permanent("token: want letters, digits and signs, without spaces")
        self.http = urllib.request.build_opener(NoRedirects)

    def notify(self, group, seconds):
        """Sends the group within these seconds. What it raises is tried again, unless it is Permanent."""
        request = urllib.request.Request(self.url, line(group).encode(), {"Content-Type": "text/plain; charset=utf-8"})
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        try:
            self.http.open(request, timeout=seconds).close()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code >= 500 or error.code in (408, 429):
                raise ConnectionError(f"the url answers {error.code}, which may pass") from None
            raise Permanent(f"the url answers {error.code}") from None
        except OSError as error:
            raise ConnectionError(f"the url does not answer: {getattr(error, 'reason', error)}") from None

    def health(self):
        """Raises nothing: whether the url answers is seen by notify."""

    def close(self):
        """Has nothing to free."""


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error: urllib would follow it with a GET, and the text would be lost."""

    def redirect_request(self, *_):
        return None


def line(group):
    """The group in a line of at most 1,000 characters: `FIRING HighErrorRate: 2 firing, 1 resolved: 5 % of requests fail`."""
    alerts = group["alerts"]
    firing = sum(alert.get("status") == "firing" for alert in alerts)
    name = group["commonLabels"].get("alertname", "alerts")
    summary = group["commonAnnotations"].get("summary", "")
    text = f"{str(group.get('status')).upper()} {name}: {firing} firing, {len(alerts) - firing} resolved: {summary}"
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split()).removesuffix(":")[:1000]


if __name__ == "__main__":
    serve_notification(Channel)
