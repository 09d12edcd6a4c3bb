REMEDY="artifacts-changed The artifacts are not those that the job cosign handed on. Start a new pipeline, and find out what changed them."
{
  echo "$PY_CI_COSIGN_DIGEST  .cosign/cosign"
  echo "$PY_CI_PROVENANCE_DIGEST  .cosign/provenance.json"
  [ -z "$PY_CI_PUBLIC_KEY_DIGEST" ] || echo "$PY_CI_PUBLIC_KEY_DIGEST  cosign.pub"
} | sha256sum --check --strict
# A Sigstore of your own is said by a variable of the type File.
cosign() { echo "$PY_CI_IDENTITY" | xargs .cosign/cosign "$@" ${SIGSTORE_TRUSTED_ROOT:+--trusted-root "$SIGSTORE_TRUSTED_ROOT"}; }
