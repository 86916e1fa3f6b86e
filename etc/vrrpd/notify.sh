#!/bin/sh
# Called with the new state of the virtual router: master, backup or fault.
case "$1" in
master) logger -t vrrpd-notify "this machine owns the virtual IP now" ;;
backup) logger -t vrrpd-notify "another machine owns the virtual IP now" ;;
fault) logger -t vrrpd-notify "this machine cannot own the virtual IP: a link or a check failed" ;;
*)
    logger -t vrrpd-notify "unknown state '$1'"
    exit 1
    ;;
esac
