#!/bin/sh
# Starts a Slurm of one node in a folder, with its own ports and keys: slurm.sh FOLDER. Prints the variables to use it with.
# Ends with the processes whose ids stand in FOLDER/pids. Needs root, slurmctld, slurmd and munged.
set -eu
folder=$1
mkdir -p "$folder/state" "$folder/spool"
dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 2>/dev/null
chmod 400 "$folder/munge.key"
chmod 755 "$folder"
munged --force --foreground --key-file "$folder/munge.key" --socket "$folder/munge.socket" --pid-file "$folder/munge.pid" \
  --seed-file "$folder/munge.seed" --log-file "$folder/munge.log" >"$folder/munged.out" 2>&1 &
echo $! >"$folder/pids"
cat >"$folder/slurm.conf" <<EOF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
JobCompType=jobcomp/none
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
EOF
export SLURM_CONF="$folder/slurm.conf"
for daemon in slurmctld slurmd; do
  $daemon -D >"$folder/$daemon.out" 2>&1 &
  echo $! >>"$folder/pids"
done
for _ in $(seq 60); do
  sinfo -h -o %T 2>/dev/null | grep -q idle && exit 0
  sleep 1
done
tail -n 5 "$folder"/*.log "$folder"/*.out >&2
exit 1
