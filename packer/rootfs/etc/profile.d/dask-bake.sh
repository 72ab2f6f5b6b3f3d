# The variables of the launch, and where AWS SDKs find credentials; in SSH sessions, sshd has set them already.
for file in /etc/dask-bake/launch.env /etc/dask-bake/credentials.env; do
    if test -r "$file"; then
        set -a
        # shellcheck disable=SC1090
        . "$file"
        set +a
    fi
done
unset file
# The environment is active in every login shell.
PATH="/opt/dask/bin:$PATH"
export PATH
# conda's and mamba's own shell functions, if the environment has them.
for script in /opt/dask/etc/profile.d/conda.sh /opt/dask/etc/profile.d/mamba.sh; do
    # shellcheck disable=SC1090
    test ! -e "$script" || . "$script"
done
unset script
