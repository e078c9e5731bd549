"""Keeps other users' modules out of Ray's processes.

They would import from the directory in which the command was typed: that may be /tmp, where anybody
may have put a module of a name that somebody imports.
"""


def import_only_what_is_installed() -> None:
    """Make Ray add nothing to the paths of modules. To be called in the process that starts it."""
    from ray.job_config import JobConfig

    JobConfig._runtime_env_has_working_dir = brings_a_directory


def brings_a_directory(config: object) -> bool:
    """Where a job does, Ray leaves the paths as they are; that is all that it asks this for."""
    return True
