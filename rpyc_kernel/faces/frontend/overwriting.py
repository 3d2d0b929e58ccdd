"""What is left of lines that were overwritten: a carriage return goes back to where the line begins."""


def settle(text: str) -> str:
    """Of lines that were overwritten keep what came last."""
    if "\r" not in text:
        return text
    return "\n".join(_settle_line(line) for line in text.split("\n"))


def _settle_line(line: str) -> str:
    kept = line.rstrip("\r")
    return kept.rpartition("\r")[2] + line[len(kept) :]
