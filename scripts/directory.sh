REMEDY="directory-missing Set the input directory to the folder of the repository that has the package, as seen from its root."
cd "./$PY_CI_DIRECTORY" || exit 1
