# The variables of the launch; in SSH sessions, sshd has set them already.
if test -r /etc/dask-bake/launch.env; then
    set -a
    # shellcheck disable=SC1091
    . /etc/dask-bake/launch.env
    set +a
fi
# The environment is active in every login shell.
PATH="/opt/dask/bin:$PATH"
export PATH
# conda's and mamba's own shell functions, if the environment has them.
for script in /opt/dask/etc/profile.d/conda.sh /opt/dask/etc/profile.d/mamba.sh; do
    # shellcheck disable=SC1090
    test ! -e "$script" || . "$script"
done
unset script
