REMEDY="directory-missing Set the input directory to the folder of the repository that has the package, as seen from its root, and through no symbolic link."
root="$(pwd -P)"
cd "./$PY_CI_DIRECTORY" || exit 1
# What the jobs hand on would not be found below the name of a link, and it may lead anywhere.
if [ "$PY_CI_DIRECTORY" != . ]; then test "$(pwd -P)" = "$root/$PY_CI_DIRECTORY"; fi
