"""A connection to PostgreSQL that notices when the server hangs: it takes what is sent, and never answers.

Neither the network nor the server tells of that. A statement that takes long looks alike from here, so that a limit of
time would end it too; whether the server still lets somebody in tells the two apart.
"""

from time import monotonic
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from typing_extensions import override

Result = TypeVar("Result")

SILENCE_SECONDS = 3.0
"""How long nothing is heard before it is seen whether the server is there for others."""


class AttentiveConnection(psycopg.Connection[tuple[object, ...]]):
    """Waits for an answer for as long as the server lets others in.

    Raises psycopg.OperationalError where it does not, after `SILENCE_SECONDS` and the `connect_timeout`, and is closed.
    """

    @override
    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        return super().wait(self._heard(gen), interval, timeout)

    def _heard(self, answering: PQGen[Result]) -> PQGen[Result]:
        """Pass on what is waited for, and what comes; where nothing does, look why."""
        heard = monotonic()
        try:
            wanted = next(answering)
            while True:
                ready = yield wanted
                if ready:
                    heard = monotonic()
                elif monotonic() - heard > SILENCE_SECONDS:
                    self._insist_that_others_are_let_in()
                    heard = monotonic()
                wanted = answering.send(ready)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _insist_that_others_are_let_in(self) -> None:
        address = make_conninfo(**self.info.get_parameters(), password=self.info.password)
        try:
            psycopg.connect(address).close()
        except psycopg.errors.ConnectionTimeout as error:
            self.close()
            raise psycopg.OperationalError("it does not answer") from error
        except psycopg.OperationalError:
            # To be refused is an answer, and of a server that is gone this connection hears by itself.
            pass
