# Takes files of other jobs of this pipeline as data, without their variables: PYTHON FOLDER STATES JOB PATTERN...
take() {
  REMEDY="artifacts-not-taken See which job is named above. If GitLab did not hand out its artifacts, or they have expired, retry that job, then this one; if they are odd, find out what in that job makes them."
  python="$1" && shift
  "$python" -I - "$@" <<'TAKE'
# >>> scripts/take.py
# <<< scripts/take.py
TAKE
}
