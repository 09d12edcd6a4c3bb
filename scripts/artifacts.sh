REMEDY="artifacts-changed The artifacts are not those that the job digests handed on. Start a new pipeline, and find out what changed them."
sha256sum --check --strict <<DIGESTS
$PY_CI_SHA256SUMS_DIGEST  SHA256SUMS
$PY_CI_SBOM_DIGEST  sbom.cdx.json
DIGESTS
(cd dist && sha256sum --check --strict ../SHA256SUMS)
test "$(find dist -name '*.whl' -o -name '*.tar.gz' | wc -l)" -eq "$(wc -l < SHA256SUMS)"
