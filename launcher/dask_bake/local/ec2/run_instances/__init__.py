"""The RunInstances operation.

Open ``launch`` first, which has the steps in their order. ``request`` validates the request by itself,
``lookup`` finds the resources that it names, ``image_defaults`` completes it from the image, and ``capacity``
decides how many instances it gets, by free addresses, ``quotas`` and capacity faults. moto then makes the
instances, ``complete`` adds the properties that moto leaves out, and ``instance_faults`` applies the faults
that the request triggered. A request with several errors gets the first one in this order.

Decisions:

- Parameters without an effect here are refused, rather than ignored.
- A launch is in one zone: that of the requested subnet, the requested zone, or the first that offers the
  instance type.
- It gets between ``MinCount`` and ``MaxCount`` instances, or none.
- A repeated client token repeats the response. Its scope is the requested zone, or else the region.
"""
