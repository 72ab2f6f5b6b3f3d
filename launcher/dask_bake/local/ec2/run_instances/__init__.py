"""The RunInstances operation.

Open ``launch`` first, which has the steps in their order. ``request`` validates the request by itself,
``lookup`` finds the resources that it names, ``image_defaults`` completes it from the image, and ``capacity``
decides how many instances it gets, by free addresses, ``quotas`` and capacity faults. moto then makes the
instances, ``complete`` adds the properties that moto leaves out, and ``instance_faults`` applies the faults
that the request drew to them. EC2 checks in this order too, so that a request with several errors gets the
same one.
"""
