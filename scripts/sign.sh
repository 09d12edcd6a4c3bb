rm -rf signatures && mkdir signatures
for file in SHA256SUMS dist/*; do
  cosign sign-blob "$@" --bundle "signatures/${file##*/}.sigstore.json" "$file"
done
for file in dist/*; do
  cosign attest-blob "$@" --type slsaprovenance1 --predicate .cosign/provenance.json \
    --bundle "signatures/${file##*/}.provenance.sigstore.json" "$file"
  cosign attest-blob "$@" --type cyclonedx --predicate sbom.cdx.json \
    --bundle "signatures/${file##*/}.sbom.sigstore.json" "$file"
done
