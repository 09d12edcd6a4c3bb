REMEDY="artifacts-changed The artifacts are not those that the jobs digests and cosign handed on. Start a new pipeline, and find out what changed them."
sha256sum --check --strict <<DIGESTS
$PY_CI_SHA256SUMS_DIGEST  SHA256SUMS
$PY_CI_SBOM_DIGEST  sbom.cdx.json
$PY_CI_COSIGN_DIGEST  .cosign/cosign
$PY_CI_PROVENANCE_DIGEST  .cosign/provenance.json
DIGESTS
(cd dist && sha256sum --check --strict ../SHA256SUMS)
test "$(find dist -mindepth 1 | wc -l)" -eq "$(wc -l < SHA256SUMS)"
