"""A whole server in a hostile world, in virtual time; everything follows from a seed.

Real: the runtime, the batch, the engine, the scheduler, the pool of evaluators and the workflow
functions in them. Simulated: the clock (``loop``), the disk (``disk``), the network, the machines
of the workers, the people (``users``), and what goes wrong (``world``). What must never happen is
in ``watch``. ``Network.call`` names its server: several servers fit into one world.
"""
