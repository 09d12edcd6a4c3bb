# With TERM, a runner stops a job that is cancelled or out of time; 143 is also how a program ends that gets it too.
trap 'exit 143' TERM
trap 'case $? in
  0) ;;
  143) trap "" TERM; sleep 1; echo "This job was stopped. If nobody cancelled it, it was out of time: .gitlab-ci.yml can set its timeout." ;;
  *) sleep 1; echo "$REMEDY" ;;
esac' EXIT
