# A large tree by scp, rsync and git over ssh, to and fro, with a private sshd of the current user.
# shellcheck shell=bash disable=SC2154,SC2034
PATH=$PATH:/usr/sbin:/sbin
needs=(sshd ssh ssh-keygen scp rsync git)
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null

start() {
    direct=$(free_port)
    python3 "$here/tree.py" "$case_dir/tree" || return 1
    ssh-keygen -q -t ed25519 -N '' -f "$case_dir/host_key" || return 1
    ssh-keygen -q -t ed25519 -N '' -f "$case_dir/key" || return 1
    cat >"$case_dir/sshd_config" <<END
Port $direct
ListenAddress 127.0.0.1
HostKey $case_dir/host_key
AuthorizedKeysFile $case_dir/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UseDNS no
Subsystem sftp internal-sftp
END
    # As root, sshd wants this directory for the part of it that has no privileges.
    ((EUID != 0)) || mkdir -p /run/sshd
    start_server sshd "$direct" "$(command -v sshd)" -D -e -f "$case_dir/sshd_config"
}

measure() {
    local tree=$case_dir/tree expected
    cat >ssh_config <<END
Host real
HostName 127.0.0.1
Port $port
User $(id -un)
IdentityFile $case_dir/key
IdentitiesOnly yes
UserKnownHostsFile $out/known_hosts
StrictHostKeyChecking accept-new
BatchMode yes
ConnectTimeout 10
LogLevel ERROR
END
    export GIT_SSH_COMMAND="ssh -F $out/ssh_config"
    expected=$(tree_hash "$tree")

    timed "scp" scp -q -r -F ssh_config "real:$tree" by_scp
    arrived by_scp
    timed "rsync" rsync -a -e "ssh -F $out/ssh_config" "$tree/" "real:$out/by_rsync"
    arrived by_rsync
    timed "git clone" git clone -q "real:$tree" by_git
    arrived by_git
    git -C by_git fsck --full --no-progress
    result "git $(git -C by_git rev-parse HEAD) of $(git -C by_git rev-list --count HEAD) commits"

    # And a push, of a commit that only the clone has.
    git init -q --bare pushed
    git -C by_git -c user.name=real -c user.email=real@localhost commit -q --allow-empty -m pushed
    git -C by_git push -q "real:$out/pushed" HEAD:refs/heads/main
    [[ $(git -C pushed rev-parse main) == "$(git -C by_git rev-parse HEAD)" ]] ||
        fail "what was pushed did not arrive"
    rm -rf by_scp by_rsync by_git pushed
}

arrived() {
    local hash
    hash=$(tree_hash "$1")
    [[ $hash == "$expected" ]] || fail "$1 is not the tree that was sent"
    result "$1 $hash"
}
