"""Settings of Superset beside factorymon.  Secrets come from the environment.

  SUPERSET_SECRET_KEY     signs sessions, encrypts the passwords of databases;
                          at least 32 characters ("openssl rand -base64 42")
  SUPERSET_DATABASE_URI   where Superset keeps its own things, as SQLAlchemy has
                          it; a file in SUPERSET_HOME unless set

NAME_FILE=/path instead of NAME=... reads them from a file.

Copyright (c) 2026, factorymon contributors; PostgreSQL License
"""

import os
from pathlib import Path

from superset.config import TALISMAN_CONFIG


def _secret(name, default=None):
    """A variable, or what is in the file that NAME_FILE names."""
    path = os.environ.get(name + "_FILE")
    return Path(path).read_text().strip() if path else os.environ.get(name, default)


SECRET_KEY = _secret("SUPERSET_SECRET_KEY")
if not SECRET_KEY or len(SECRET_KEY) < 32:
    raise SystemExit("superset_config: SUPERSET_SECRET_KEY must be set, with 32 characters or more")
SQLALCHEMY_DATABASE_URI = _secret("SUPERSET_DATABASE_URI") or (
    f"sqlite:///{os.environ.get('SUPERSET_HOME', '/var/lib/superset')}/superset.db")

# What is shown is of the present, and the views are made to be asked often.
DASHBOARD_AUTO_REFRESH_MODE = "force"

# Plain HTTP within the Compose network; whoever publishes Superset puts a proxy
# with TLS before it and says so here.
ENABLE_PROXY_FIX = os.environ.get("SUPERSET_BEHIND_PROXY") == "true"
SESSION_COOKIE_SECURE = ENABLE_PROXY_FIX
SESSION_COOKIE_SAMESITE = "Lax"

# Superset's pages count their users with a picture from elsewhere, and may show
# maps: browsers of a plant need nothing but this server.
TALISMAN_CONFIG["content_security_policy"].update({
    "img-src": ["'self'", "blob:", "data:"],
    "connect-src": ["'self'"],
})
