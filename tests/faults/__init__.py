"""Faults at every call that the vault makes, and what must hold all the same.

`seam.py`        stands between a vault and AWS, the cloud and the directory: it names every call, and treats single
                 ones: killed before or after, failed, reply lost, sent twice, delayed, something else meanwhile.
`world.py`       people, an application and a cloud around two processes of the vault, on moto. It can be brought
                 back to an earlier moment in milliseconds, which is what makes thousands of cases affordable.
`flows.py`       what is done to it: log-in, consent, release, revocation, removal, the background functions; each with
                 what its page said, and what the person or the schedule does next.
`invariants.py`  what holds after each step of each case, stated once.

The tests ask the seam how many calls a flow makes and go through all of them, so that a call which is added
tomorrow is tried without anybody thinking of it. To treat a single call by hand:

    with world.seam.treating(nth("PutItem", 2, lost)):
        alice.press(page, "Revoke")
"""
