// The generated policy.c asks for this function, so that the object file with the types of the interface is linked in.
// That file is binary, so it is not kept here: componentize.mjs adds the types to the finished module instead.
void __component_type_object_force_link_policy(void);
void __component_type_object_force_link_policy(void) {}
