"""What status and doctor say of a code."""
import re


def explained(out, code):
    """The finding of this code with its sentence, cause and next step."""
    lines = out.splitlines()
    at = [i for i, line in enumerate(lines) if re.search(rf"(^|[ :])M{code}: \S", line)]
    assert at, f"no M{code} in\n{out}"
    block = lines[at[0] + 1:]
    end = next((i for i, line in enumerate(block) if not line.startswith("  ")), len(block))
    words = "\n".join(block[:end])
    assert re.search(r"^  likely +\S", words, re.M) and re.search(r"^  do +\S", words, re.M), out
