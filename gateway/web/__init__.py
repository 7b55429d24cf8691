"""The pages: server-rendered, French first, English second.

How a face is added:
1. a file here, a noun of the trade, with functions `async def show(visit: Visit) -> Response` (gateway.web.visits): who
   it is (`visit.session.account`, `visit.roles`), of which tenant (`visit.settings`: that tenant's view), in which
   language; `await visit.aside(function, ...)` for whatever blocks; `visit.shown("name.html", ...)` answers,
   `visit.moved(path)` after a change, `visit.wrong(404)` an error;
2. rows `Face(path, function, roles, methods, menu=...)` in a tuple of that file, which gateway.web.faces.FACES joins.
   The role is asked, and the form's token, before the function runs (gateway.web.guard): nowhere else;
3. a template in templates/ that extends layout.html: block title, block main with one <h1>, words by `t("key")`, in
   each form `{{ token() }}`; no inline script or style (the policy of content refuses them); htmx polls what is live;
4. its sentences in gateway.web.sentences, French and English: a test wants both.

Promises: pages hold no key; what must be opened or signed goes through the keeper. Does not: decide about letters.
"""
