"""A browser that signs in at a provider: what it keeps, shows and follows."""

from __future__ import annotations

import re
import ssl

import httpx

CLAIRE, RPPS = "claire@lilas.example", "99700000001"
LABO, OTHER = "secretariat@lilas.example", "99700000002"


class Browser:
    """Keeps cookies; keeps those that are SameSite=Strict back where a page of others sends it here, as browsers do."""

    def __init__(self, port: int) -> None:
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        self.pages = f"https://127.0.0.1:{port}"
        self.http = httpx.Client(verify=trust, timeout=60)
        self.seen: list[str] = []

    def get(self, path: str) -> httpx.Response:
        return self.http.get(f"{self.pages}{path}", headers={"sec-fetch-site": "same-origin"})

    def arrive(self, url: str) -> httpx.Response:
        """From elsewhere."""
        kept, self.http.cookies = self.http.cookies, httpx.Cookies()
        answer = self.http.get(url, headers={"sec-fetch-site": "cross-site"})
        assert "set-cookie" not in answer.headers  # else the session that stands would be replaced
        self.http.cookies = kept
        return answer

    def out(self) -> str:
        """Follows the page's link, and is sent by the provider: where to."""
        away = self.get("/entrer/fournisseur/lilas")
        assert away.status_code == 303, away.text
        self.seen.append(away.headers["location"])
        sent = self.http.get(away.headers["location"])
        assert sent.status_code == 302, sent.status_code
        return str(sent.headers["location"])

    def back(self, url: str) -> httpx.Response:
        """The page of ours that the browser gets first asks again by itself."""
        page = self.arrive(url)
        again = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
        assert again, page.text
        return self.get(again[1].replace("&amp;", "&"))

    def signs_in(self) -> httpx.Response:
        return self.back(self.out())

    def post(self, path: str, page: str, **form: str) -> httpx.Response:
        token = re.search(r'name="token" value="([0-9a-f]+)"', page)
        assert token
        return self.http.post(f"{self.pages}{path}", data={"token": token[1], **form})
