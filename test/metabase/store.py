"""What the stand-in keeps, and what it does for each endpoint.

Methods are named by the endpoint: method and words of the path.  They return
(status, value).  Where Metabase does something a client could trip over, so
does this: the setup token is used up, passwords come back as stars, PUT merges
details and tries them only if they changed, schemas are read later than asked,
queries come back in the new form unless the old one is asked for.

Copyright (c) 2026, factorymon contributors; PostgreSQL License
"""

import secrets

import plant

STARS = "**MetabasePass**"
# how often one asks for the metadata until the schema has been read
SYNC_LOOKS = 2


def not_found():
    return 404, "Not found."


def modern(query):
    """A native query as Metabase has shown it since version 0.57."""
    return {"lib/type": "mbql/query", "database": query["database"],
            "stages": [{"lib/type": "mbql.stage/native",
                        "native": query["native"]["query"]}]}


class Store:
    """One Metabase's application database."""

    def __init__(self, psql, initializing):
        self.psql = psql
        self.initializing = initializing
        self.setup_token = secrets.token_hex(16)
        self.user = None
        self.sessions = set()
        self.databases, self.collections = {}, {}
        self.cards, self.dashboards = {}, {}
        self.looks = {}
        self.last_id = 0

    def new_id(self):
        self.last_id += 1
        return self.last_id

    def state(self):
        """All that would survive; to be compared."""
        return {"databases": self.databases, "collections": self.collections,
                "cards": self.cards, "dashboards": self.dashboards}

    # ---- health, users

    def get_health(self, _query, _body):
        if self.initializing > 0:
            self.initializing -= 1
            return 503, {"status": "initializing", "progress": 0.5}
        return 200, {"status": "ok"}

    def get_session_properties(self, _query, _body):
        return 200, {"has-user-setup": self.user is not None,
                     "setup-token": None if self.user else self.setup_token}

    def new_session(self):
        session = secrets.token_hex(16)
        self.sessions.add(session)
        return 200, {"id": session}

    def post_setup(self, _query, body):
        if self.user:
            return 403, "The /api/setup route can only be used to create the"\
                " first user, however a user currently exists."
        if body["token"] != self.setup_token:
            return 400, {"errors":
                         {"token": "Token does not match the setup token."}}
        password = body["user"]["password"]
        if len(password) < 6 or not any(c.isdigit() for c in password):
            return 400, {"errors": {"password": "password is too common."}}
        self.user = body["user"]
        return self.new_session()

    def post_session(self, _query, body):
        if not self.user or (body["username"], body["password"]) != (
                self.user["email"], self.user["password"]):
            return 401, {"errors":
                         {"password": "did not match stored password"}}
        return self.new_session()

    # ---- databases

    def trouble(self, details):
        """Why a database cannot be used, as Metabase says it, or None."""
        try:
            plant.run(self.psql, details, "SELECT 1")
        except plant.QueryFailed as error:
            return {"message": str(error), "errors": {"host": str(error)}}
        return None

    def shown(self, database):
        return {**database, "details": {**database["details"],
                                        "password": STARS}}

    def get_database(self, _query, _body):
        data = [self.shown(database) for database in self.databases.values()]
        return 200, {"data": data, "total": len(data)}

    def post_database(self, _query, body):
        trouble = self.trouble(body["details"])
        if trouble:
            return 400, trouble
        ident = self.new_id()
        self.databases[ident] = {"initial_sync_status": "incomplete",
                                 **body, "id": ident}
        return 200, self.shown(self.databases[ident])

    def get_database_id(self, _query, _body, id):
        if id not in self.databases:
            return not_found()
        return 200, self.shown(self.databases[id])

    def put_database_id(self, _query, body, id):
        if id not in self.databases:
            return not_found()
        database = self.databases[id]
        details = {**database["details"], **body.get("details", {})}
        if details["password"] == STARS:
            details["password"] = database["details"]["password"]
        trouble = (details != database["details"]) and self.trouble(details)
        if trouble:
            return 400, trouble
        database.update({**body, "details": details})
        return 200, self.shown(database)

    def get_database_id_healthcheck(self, _query, _body, id):
        if id not in self.databases:
            return not_found()
        trouble = self.trouble(self.databases[id]["details"])
        return 200, {**trouble, "status": "error"} if trouble else {"status": "ok"}

    def post_database_id_sync_schema(self, _query, _body, id):
        if id not in self.databases:
            return not_found()
        trouble = self.trouble(self.databases[id]["details"])
        if trouble:
            return 422, trouble
        self.looks.setdefault(id, 0)
        return 200, {"status": "ok"}

    def get_database_id_metadata(self, _query, _body, id):
        if id not in self.databases:
            return not_found()
        tables = []
        if id in self.looks:
            self.looks[id] += 1
            if self.looks[id] >= SYNC_LOOKS:
                self.databases[id]["initial_sync_status"] = "complete"
                tables = plant.visible(self.psql,
                                       self.databases[id]["details"])
        return 200, {**self.shown(self.databases[id]), "tables": [
            {"schema": schema, "name": name, "display_name": name}
            for schema, name in tables]}

    # ---- collections

    def get_collection(self, _query, _body):
        return 200, [{"id": "root", "name": "Our analytics"},
                     *self.collections.values()]

    def post_collection(self, _query, body):
        ident = self.new_id()
        self.collections[ident] = {**body, "id": ident, "location": "/",
                                   "archived": False}
        return 200, self.collections[ident]

    def get_collection_id_items(self, query, _body, id):
        if id not in self.collections:
            return not_found()
        kinds = {"card": self.cards, "dashboard": self.dashboards}
        data = [{"id": item["id"], "name": item["name"], "model": kind}
                for kind, items in kinds.items() for item in items.values()
                if query.get("models", kind) == kind
                and item["collection_id"] == id and not item["archived"]]
        return 200, {"data": data, "total": len(data)}

    # ---- cards

    def get_card(self, query, _body):
        return 200, [
            {**card, "dataset_query": modern(card["dataset_query"])}
            for card in self.cards.values() if not card["archived"] and
            (query.get("f") != "database" or
             str(card["dataset_query"]["database"]) == query["model_id"])]

    def misfit(self, body):
        """Ids that lead nowhere, and what is no plain SQL."""
        query = body.get("dataset_query")
        if query and query["database"] not in self.databases:
            return 404, "there is no such database"
        if (body.get("collection_id") or 0) and \
                body["collection_id"] not in self.collections:
            return 404, "there is no such collection"
        why = query and plant.objection_to(query["native"]["query"])
        return (400, {"message": why}) if why else None

    def post_card(self, _query, body):
        misfit = self.misfit(body)
        if misfit:
            return misfit
        ident = self.new_id()
        self.cards[ident] = {"description": None, "collection_id": None,
                             **body, "id": ident, "archived": False}
        return 200, self.cards[ident]

    def get_card_id(self, query, _body, id):
        if id not in self.cards:
            return not_found()
        card = self.cards[id]
        if query.get("legacy-mbql") == "true":
            return 200, card
        return 200, {**card, "dataset_query": modern(card["dataset_query"])}

    def put_card_id(self, _query, body, id):
        if id not in self.cards:
            return not_found()
        misfit = self.misfit(body)
        if misfit:
            return misfit
        self.cards[id].update(body)
        return 200, self.cards[id]

    def delete_card_id(self, _query, _body, id):
        if id not in self.cards:
            return not_found()
        del self.cards[id]
        for dashboard in self.dashboards.values():
            dashboard["dashcards"] = [dashcard for dashcard
                                      in dashboard["dashcards"]
                                      if dashcard["card_id"] != id]
        return 204, None

    def post_card_id_query(self, _query, _body, id):
        if id not in self.cards:
            return not_found()
        query = self.cards[id]["dataset_query"]
        details = self.databases[query["database"]]["details"]
        try:
            names, rows = plant.run(self.psql, details,
                                    query["native"]["query"])
        except plant.QueryFailed as error:
            return 202, {"status": "failed", "error": str(error), "data":
                         {"rows": [], "cols": []}}
        return 202, {"status": "completed", "row_count": len(rows), "data":
                     {"rows": rows, "cols": [{"name": name} for name in names]}}

    # ---- dashboards

    def post_dashboard(self, _query, body):
        ident = self.new_id()
        self.dashboards[ident] = {
            "description": None, "collection_id": None, "width": "fixed",
            **body, "id": ident, "archived": False, "dashcards": []}
        return 200, self.dashboards[ident]

    def get_dashboard_id(self, _query, _body, id):
        if id not in self.dashboards:
            return not_found()
        return 200, self.dashboards[id]

    def put_dashboard_id(self, _query, body, id):
        if id not in self.dashboards:
            return not_found()
        dashboard = self.dashboards[id]
        if body.get("dashcards") is not None:
            idents = [dashcard["id"] for dashcard in body["dashcards"]]
            if len(set(idents)) != len(idents):
                return 400, {"errors": {"dashcards": "ids must be unique"}}
            known = {dashcard["id"] for dashcard in dashboard["dashcards"]}
            dashcards = []
            for dashcard in body["dashcards"]:
                if dashcard.get("card_id") not in (None, *self.cards):
                    return 404, "there is no such card"
                ident = dashcard["id"]
                if ident not in known:
                    ident = self.new_id()
                dashcards.append({"visualization_settings": {}, "series": [],
                                  **dashcard, "id": ident})
            body = {**body, "dashcards": dashcards}
        dashboard.update(body)
        return 200, dashboard

    def delete_dashboard_id(self, _query, _body, id):
        if id not in self.dashboards:
            return not_found()
        del self.dashboards[id]
        return 204, None
