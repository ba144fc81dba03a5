"""A private PostgreSQL with default durability, and its databases.

Only sizes differ from the defaults, and track_commit_timestamp is on: it
tells afterwards, for every contender alike, when which row was committed.
"""

import signal
import time
from contextlib import contextmanager

import psycopg2

from . import paths, process
from .errors import BenchError
from .ports import free_port

USER = "bench"

SETTINGS = {
    "shared_preload_libraries": "factorymon",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "min_wal_size": "4GB",     # WAL files are used again, as on a server in use
    "max_worker_processes": "48",
    "track_commit_timestamp": "on",
    "max_locks_per_transaction": "2048",
    "listen_addresses": "127.0.0.1",
    "log_line_prefix": "%m [%p] %d ",
}


class Database:
    """One database and the benchmark's own connection to it."""
    user = USER

    def __init__(self, server, name):
        self.server = server
        self.name = name
        self._connection = None
        self.reconnect()

    def reconnect(self):
        """Connect, also again after a crash of the server."""
        self._connection = psycopg2.connect(self.dsn)
        self._connection.autocommit = True
        self.run("SET max_parallel_workers_per_gather = 0")

    @property
    def dsn(self):
        """Connection string over TCP, for libpq."""
        return (f"host=127.0.0.1 port={self.server.port} user={USER} "
                f"dbname={self.name}")

    @property
    def uri(self):
        """The same as a URI."""
        return (f"postgresql://{USER}@127.0.0.1:{self.server.port}/"
                f"{self.name}")

    @property
    def jdbc(self):
        """The same for Java, without the user."""
        return f"jdbc:postgresql://127.0.0.1:{self.server.port}/{self.name}"

    def rows(self, query, *arguments):
        """All rows of a query."""
        with self._connection.cursor() as cursor:
            cursor.execute(query, arguments or None)
            return cursor.fetchall()

    def value(self, query, *arguments):
        """The one value of a query."""
        return self.rows(query, *arguments)[0][0]

    def run(self, statement, *arguments):
        """A statement without a result."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)

    def close(self):
        """Leave the database."""
        self._connection.close()


class Server:
    """A PostgreSQL server below a folder, for as long as the benchmark runs."""

    def __init__(self, folder):
        self.data = folder / "data"
        self.log = folder / "postgresql.log"
        self.port = free_port()
        self._program = None

    def start(self):
        """initdb and start; returns when it accepts connections."""
        init = process.Program(
            [paths.postgres_program("initdb"), "-D", self.data, "-U", USER,
             "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"], self.log)
        init.wait(300)
        if init.exit_code() != 0:
            raise BenchError("initdb failed:\n" + init.last_words())
        with open(self.data / "postgresql.conf", "a") as conf:
            for name, value in SETTINGS.items():
                conf.write(f"{name} = '{value}'\n")
            conf.write(f"port = {self.port}\n")
            conf.write(f"unix_socket_directories = '{self.data}'\n")
        self._program = process.Program(
            [paths.postgres_program("postgres"), "-D", self.data], self.log)
        self.wait_ready()

    def wait_ready(self, timeout=120):
        """Wait until it accepts connections, also after a crash."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                Database(self, "postgres").close()
                return
            except psycopg2.OperationalError as error:
                if self._program.exit_code() is not None:
                    raise BenchError("PostgreSQL ended:\n" +
                                     self._program.last_words()) from error
                if time.monotonic() > deadline:
                    raise BenchError("PostgreSQL does not answer") from error
                time.sleep(0.2)

    def processes(self):
        """The ids of all its processes."""
        return self._program.processes()

    @contextmanager
    def database(self, name):
        """A new database, dropped at the end."""
        keeper = Database(self, "postgres")
        keeper.run(f'CREATE DATABASE "{name}"')
        keeper.close()
        database = Database(self, name)
        try:
            yield database
        finally:
            database.close()
            self.wait_ready()
            keeper = Database(self, "postgres")
            keeper.run(f'DROP DATABASE "{name}" WITH (FORCE)')
            keeper.close()

    def stop(self):
        """End it; by force if it does not want to."""
        if self._program:
            self._program.stop(signal.SIGINT, timeout=60)
