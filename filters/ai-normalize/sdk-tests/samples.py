"""What the tests send, and what the mocks answer to it."""

TEXT = "Grüezi mitenand"
SAID = f"You said: {TEXT}"
CITY = "Zürich"
INPUT, OUTPUT, REASONING = 9, 4, 3

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SEEN = "I see 1 image: image/png, 70 bytes"

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
ARGUMENTS = {"city": CITY}
ANSWER = {"city": CITY}
NAMES = ("weather", "time")
USE = "use tools"
USE_BOTH = "use tools in parallel"
RESULTS = ("15 °C", "noon")
TOLD = f"Results: {RESULTS[0]}"
TOLD_BOTH = f"Results: {RESULTS[0]}; {RESULTS[1]}"
