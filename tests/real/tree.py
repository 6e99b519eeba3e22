"""Makes a tree of 2,000 files with about 100 MB of generated content, most files small and a few
large, and a git history of ten commits over it. The same content each time."""

import os
import random
import subprocess
import sys

FILES = 2000
COMMITS = 10


def git(*arguments):
    when = "2024-01-01T00:00:00Z"
    subprocess.run(
        ["git", "-c", "user.name=real", "-c", "user.email=real@localhost", "-c", "gc.auto=0"]
        + ["-c", "core.compression=1", *arguments],
        check=True,
        env={**os.environ, "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when},
    )


def size(number, generator):
    if number % 100 == 0:
        return 2_000_000
    if number % 50 == 0:
        return 0
    return generator.randrange(1, 60_000)


def write(path, count, generator):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        # Half of it is text that compresses, half does not.
        text = b"a line of text, which compresses\n" * (count // 66)
        file.write(text + generator.randbytes(count - len(text)))


def main():
    os.makedirs(sys.argv[1])
    os.chdir(sys.argv[1])
    generator = random.Random(7)
    git("init", "-q", "-b", "main")
    for number in range(FILES):
        path = f"d{number % 20}/e{number % 7}/file {number}"
        write(path, size(number, generator), generator)
        if number % (FILES // COMMITS) == FILES // COMMITS - 1:
            # Each commit also changes a file of the one before.
            write("d0/changed", 100_000, generator)
            git("add", "-A")
            git("commit", "-q", "-m", f"up to file {number}")


main()
