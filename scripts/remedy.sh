trap '[ $? = 0 ] || { sleep 1; echo "$REMEDY"; }' EXIT
