"""What the last lines of jobs say of a release that they refuse or could not publish, as they begin."""

from __future__ import annotations

NOT_ALL = "Do not use these files. They are not all that the job digests handed on, and no more"
# How the signer was asked for follows.
NOT_SIGNED = "Do not use these files. A signature is missing, of another file, or not by the signer"
OF_OTHERS = (
    "Do not use these files. They were signed for another project, tag or commit, with another bill of materials,"
)
IS_THERE = "If the registry did not answer, retry the job. If it has other files of this version"
