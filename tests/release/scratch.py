"""A copy of this tree, as a repository of its own that a test may do anything to."""
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PYTHONDONTWRITEBYTECODE": "1",
                            "GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@localhost",
                            "GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@localhost"}


def git(path, *arguments):
    # In a container the tree belongs to somebody else, which git refuses unless it is told otherwise.
    return subprocess.run(["git", "-c", "safe.directory=*", "-C", str(path), *arguments], env=ENVIRONMENT, check=True,
                          timeout=60, stdout=subprocess.PIPE, text=True).stdout


def copy_tree(to, tree=ROOT):
    """The files of the tree that are its own, not what is built in it."""
    if (tree / ".git").exists():
        names = git(tree, "ls-files", "-co", "--exclude-standard", "-z").split("\0")
        files = [tree / name for name in names if name and (tree / name).is_file()]
    else:
        files = [f for f in tree.rglob("*") if f.is_file() and f.relative_to(tree).parts[0] != "build"]
    for file in files:
        target = to / file.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def repository(path, tag=None):
    """Makes the folder a repository, with one commit of all that is in it."""
    git(path, "init", "-q", "-b", "main")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "As it is")
    if tag:
        git(path, "tag", tag)
