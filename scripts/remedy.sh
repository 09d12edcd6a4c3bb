# What a job that fails says last, after what is still to come on stderr; the first word of a remedy names the paragraph
# about it in docs/troubleshooting.md. 143 is also how a program ends that a runner stops.
say_remedy() {
  status=$?
  if [ "$status" = 143 ]; then
    trap "" TERM
    REMEDY="stopped This job was stopped. If nobody cancelled it, it was out of time: .gitlab-ci.yml can set its timeout."
  fi
  if [ "$status" != 0 ]; then
    sleep 1
    echo "See ${PY_CI_TROUBLESHOOTING:-py-ci-template/docs/troubleshooting.md}#${REMEDY%% *}"
    echo "${REMEDY#* }"
  fi
}
# With TERM, a runner stops a job that is cancelled or out of time.
trap 'exit 143' TERM
trap say_remedy EXIT
