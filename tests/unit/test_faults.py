import pytest

from assistant.faults import fault_of


class GoogleError(Exception):
    """Has its status where google-genai has it."""

    def __init__(self, code, message=""):
        super().__init__(message)
        self.code = code


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (GoogleError(400, "API key not valid. Please pass a valid API key."), "key"),
        (GoogleError(400, "The input token count exceeds the maximum number of tokens allowed"), "context"),
        (GoogleError(400, "Unsupported role"), "refused"),
        (GoogleError(401), "key"),
        (GoogleError(404), "model"),
        (GoogleError(429), "rate"),
        (GoogleError(500), "broken"),
        (GoogleError("invalid_api_key", "Set the api key"), "key"),
        (GoogleError(1006), "broken"),
    ],
)
def test_a_status_is_read_where_google_has_it(error, fault):
    assert fault_of(error) == fault


def test_a_status_is_read_from_the_cause_of_an_error():
    try:
        raise ValueError("It failed") from GoogleError(404)
    except ValueError as error:
        assert fault_of(error) == "model"
